package address

import (
	"bytes"
	"fmt"
	"os"
)

// Password reads the file of password_file=, which somebody may replace while the program
// runs: read it for each login. Ends of lines that stand last, which editors and echo add,
// are no part of the password. A file that is empty, as while it is being written, is an
// error.
func Password(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("password_file=: %w", err)
	}
	password := bytes.TrimRight(text, "\r\n")
	if len(password) == 0 {
		return "", fmt.Errorf("password_file=%s: it is empty", file)
	}
	return string(password), nil
}
