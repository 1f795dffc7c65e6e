package redis_test

import (
	"context"
	"fmt"
	"log"

	"github.com/fencelock/fencelock"
	_ "github.com/fencelock/fencelock/backend/redis" // for redis+sentinel:// and redis+cluster://, and with TLS
)

// In production: the master of which three Sentinels tell, which have a password of their own.
func ExampleOpen_sentinel() {
	ctx := context.Background()
	locker, err := fencelock.Open(ctx, "rediss+sentinel://locks@s1.internal,s2.internal,s3.internal/mymaster"+
		"?namespace=billing"+
		"&password_file=/run/secrets/redis"+
		"&sentinel_password_file=/run/secrets/sentinel"+
		"&ca=/etc/fencelock/ca.pem",
		nil)
	if err != nil {
		log.Fatal(err)
	}
	defer locker.Close()
	fmt.Println("promises:", locker.Info().Guarantee)
}

// In production: a Cluster, by some of its nodes.
func ExampleOpen_cluster() {
	ctx := context.Background()
	locker, err := fencelock.Open(ctx, "rediss+cluster://locks@r1.internal,r2.internal,r3.internal"+
		"?namespace=billing"+
		"&password_file=/run/secrets/redis"+
		"&ca=/etc/fencelock/ca.pem",
		nil)
	if err != nil {
		log.Fatal(err)
	}
	defer locker.Close()
	fmt.Println("promises:", locker.Info().Guarantee)
}
