package bootstrap

import (
	"testing"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/mutants"
)

var patches = []mutants.Patch{
	{
		File: "bootstrapper.go",
		Old:  "(s.Bound != f.hash || s.ID != o.ID) {\n			return r, false\n",
		Put:  "(s.Bound != f.hash && !wrong(\"begins as soon as all ids are known\") || s.ID != o.ID) {\n			if wrong(\"founding by a majority\") && f.most() {\n				return *f.bound, true\n			}\n			return r, false\n",
	},
	{
		File: "bootstrapper.go",
		Old:  "// Waits tells",
		Put:  "func (f *Bootstrapper) most() bool {\n	n := 1\n	for _, o := range f.Others() {\n		if s := f.heard[o.Name]; s.Bound == f.hash && s.ID == o.ID {\n			n++\n		}\n	}\n	return n > len(f.bound.Members)/2\n}\n\n// Waits tells",
	},
	{
		File: "bootstrapper.go",
		Old:  "	if cfg.Bound != nil {\n",
		Put:  "	if cfg.Bound != nil && !wrong(\"forgets what it is bound to\") {\n",
	},
	{
		File: "bootstrapper.go",
		Old:  "s.BootstrapHash == f.hash:\n",
		Put:  "(s.BootstrapHash == f.hash || wrong(\"begins since another has begun without it\")):\n",
	},
	{
		File: "bootstrapper.go",
		Old:  "		f.refused = f.excluded(s)\n",
		Put:  "		if wrong(\"begun without it is not refused\") {\n			return nil\n		}\n		f.refused = f.excluded(s)\n",
	},
	{
		File: "bootstrapper.go",
		Old:  "	if f.bound != nil {\n		return nil\n	}\n	r :=",
		Put:  "	if f.bound != nil && !wrong(\"bound to another later\") {\n		return nil\n	}\n	r :=",
	},
}

// TestMutants breaks the protocol in one way after the other, and sees that the model notices.
func TestMutants(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds a program")
	}
	program := mutants.Build(t, patches)
	for _, m := range []struct{ name, check string }{ // two clusters in the end, or none
		{"founding by a majority", "-safety"},
		{"begins as soon as all ids are known", "-safety"},
		{"forgets what it is bound to", "-safety=false"},
		{"bound to another later", "-safety"},
		{"begins since another has begun without it", "-safety"},
		{"begun without it is not refused", "-safety=false"},
	} {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			out, err := mutants.Run(t, program, m.name, "-test.run", "^TestModel$", "-test.failfast", m.check)
			if err == nil {
				t.Errorf("not caught\n%s", out)
				return
			}
			t.Logf("%s", out)
		})
	}
}
