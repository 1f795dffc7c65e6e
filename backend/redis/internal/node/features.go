package node

import "strings"

// Features are commands that some servers have, which save work where they are there.
type Features struct {
	// Delete is the command that deletes a string if it has a value: "DELEX" (as DELEX key IFEQ value;
	// Redis 8.4 and later), "DELIFEQ" (as DELIFEQ key value; Valkey 9.0 and later), or "".
	Delete string
}

// Features are those that the server had when Prepare asked it, and that its user was allowed; none before
// Prepare. After a failover another server may answer, so a caller must have another way for when
// IsUnknownCommand is the answer.
func (n *Node) Features() Features {
	if f := n.features.Load(); f != nil {
		return *f
	}
	return Features{}
}

// ForgetDelete has Features name no command for Delete any more: the server that answers now lacks it.
func (n *Node) ForgetDelete() {
	f := n.Features()
	f.Delete = ""
	n.features.Store(&f)
}

// featuresOf are those that the script of Permissions has found.
func featuresOf(found []string) *Features {
	f := new(Features)
	for _, entry := range found {
		command, allowed := strings.CutPrefix(entry, "+")
		if !allowed {
			continue
		}
		if command = strings.ToUpper(command); command == "DELEX" || command == "DELIFEQ" {
			f.Delete = command
		}
	}
	return f
}
