//go:build !linux

package busy

import "time"

func threadTime() time.Duration { return 0 }
