package servers

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
)

var versionOption = regexp.MustCompile(`v=([0-9.]+)`)

// findProgram looks for the program of a kind. One that a variable names is taken
// as it is; one that PATH happens to have must be of the right release.
func findProgram(k Kind) (path string, err error) {
	wanted := os.Getenv(k.env("PROGRAM"))
	if wanted != "" {
		return exec.LookPath(wanted)
	}
	if path, err = exec.LookPath(k.program); err != nil {
		return "", fmt.Errorf("%s is not on PATH", k.program)
	}
	version, err := programVersion(path)
	if err == nil && !k.fits(version) {
		err = fmt.Errorf("%s is of version %s, which is not %s", path, version, k.release)
	}
	return path, err
}

func programVersion(path string) (string, error) {
	out, err := exec.Command(path, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("%s --version: %w", path, err)
	}
	return parseVersion(string(out))
}

func parseVersion(out string) (string, error) {
	m := versionOption.FindStringSubmatch(out)
	if m == nil {
		return "", fmt.Errorf("no version in %q", out)
	}
	return m[1], nil
}
