// Package sentinel_test runs backend/redis against real servers with Sentinels.
package sentinel_test

import (
	"testing"

	"github.com/fencelock/fencelock/integration/internal/servers"
)

func TestMain(m *testing.M) { servers.Main(m) }
