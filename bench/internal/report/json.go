package report

import (
	"encoding/json"
	"os"
)

// WriteJSON keeps every figure of every round, so that a run can be looked at again in another way.
func (r *Run) WriteJSON(path string) error {
	text, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}
