package redlock_test

import (
	"context"
	"fmt"
	"log"

	"github.com/fencelock/fencelock"
	_ "github.com/fencelock/fencelock/backend/redis/redlock" // for redlock:// and redlocks://
	"github.com/fencelock/fencelock/driver"
)

// In production: TLS, a password that is read again for each connection, a namespace, and nodes that
// keep what they have answered through a crash.
func ExampleOpen() {
	ctx := context.Background()
	locker, err := fencelock.Open(ctx, "redlocks://locks@r1.internal,r2.internal,r3.internal"+
		"?namespace=billing"+ // programs that are to exclude each other have the same
		"&password_file=/run/secrets/redis"+
		"&ca=/etc/fencelock/ca.pem", // without it the system's authorities are trusted
		&fencelock.Options{RequireGuarantee: driver.FencedOrder})
	if err != nil {
		log.Fatal(err) // it says what is wrong with which node
	}
	defer locker.Close()

	for _, warning := range locker.Info().Warnings { // the logger has got them, too
		fmt.Println("a node is missing, or:", warning)
	}
	fmt.Println("promises:", locker.Info().Guarantee)
}
