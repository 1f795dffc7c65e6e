package drivertest

import (
	"os"
	"regexp"
	"testing"
)

// Each name in brackets in the contract is a rule of the suite.
func TestContractNamesRules(t *testing.T) {
	text, err := os.ReadFile("../backend.go")
	if err != nil {
		t.Fatal(err)
	}
	// A rule comes at the end of a sentence; a link of godoc does not.
	names := regexp.MustCompile(`\[([A-Z]\w+)\](?:[.:;]|,? and|\n)`).FindAllStringSubmatch(string(text), -1)
	if len(names) < 20 {
		t.Fatalf("found %d names of rules, something is wrong with the search", len(names))
	}
	for _, m := range names {
		switch m[1] {
		case "Grant", "Info", "HeldError", "MaxKeyLen", "JoinIdentity", "Guarantee", "ErrUnavailable", "ErrHeld", "ErrNotHeld":
			continue
		}
		if ruleIndex(m[1]) < 0 {
			t.Errorf("the contract names the rule %s, which does not exist", m[1])
		}
	}
}
