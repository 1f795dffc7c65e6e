package sentinel_test

import (
	"testing"

	"github.com/fencelock/fencelock/integration/internal/servers"
)

func TestMain(m *testing.M) { servers.Main(m) }
