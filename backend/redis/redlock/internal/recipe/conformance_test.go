package recipe_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/fencelock/fencelock/driver/drivertest"
)

// TestConformance runs the published suite in virtual time: plainly, while a reply of each kind is lost
// on a node, and with a node that is away or silent.
func TestConformance(t *testing.T) {
	for _, n := range []int{3, 5} {
		for name, setting := range map[string]func(w *env){
			"plain":           func(*env) {},
			"replies lost":    func(w *env) { w.lose, w.again = only(1), true },
			"one away":        func(w *env) { w.away = only(0) },
			"another away":    func(w *env) { w.away = only(2) },
			"one silent":      func(w *env) { w.silent = only(1) },
			"tokenless":       func(w *env) { w.info.Tokenless = true },
			"tokenless, away": func(w *env) { w.info.Tokenless = true; w.away = only(1) },
		} {
			if n == 5 && (strings.Contains(name, "away") || name == "tokenless") {
				continue // as with three
			}
			for _, rule := range drivertest.Rules() {
				t.Run(fmt.Sprintf("%d/%s/%s", n, name, rule.Name), func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) {
						w := newEnv(t, n)
						setting(w)
						for _, v := range drivertest.Check(t.Context(), w.harness(), rule.Name) {
							t.Error(v)
						}
					})
				})
			}
		}
	}
}
