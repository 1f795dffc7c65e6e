package comingfrom_test

import (
	"io"
	"log"
	"log/slog"
	"testing"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock/integration/internal/servers"
)

func TestMain(m *testing.M) {
	zk.DefaultLogger = log.New(io.Discard, "", 0)  // it tells of each connection
	slog.SetDefault(slog.New(slog.DiscardHandler)) // each program warns of what Redis does not keep
	servers.Main(m)
}
