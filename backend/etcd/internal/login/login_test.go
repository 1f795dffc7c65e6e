package login

import (
	"encoding/base64"
	"testing"
	"time"
)

func jwt(payload string) string {
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + ".c2ln"
}

func TestLifetime(t *testing.T) {
	now := time.Unix(1000, 0)
	for token, want := range map[string]time.Duration{
		"letters.12":                  0,
		"":                            0,
		jwt(`{"exp":1300}`):           5 * time.Minute,
		jwt(`{"exp":900}`):            0,
		jwt(`{"username":"user"}`):    0,
		jwt(`{"exp":"soon"}`):         0,
		"e30.not base64.c2ln":         0,
		jwt(`{"exp":1300}`) + ".more": 0,
	} {
		if got := lifetimeOf(token, now); got != want {
			t.Errorf("lifetimeOf(%q) = %v, want %v", token, got, want)
		}
	}
}
