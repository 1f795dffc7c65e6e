package servers

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
)

// versionOption finds a version in what redis-server ("v=7.0.15"), etcd ("etcd
// Version: 3.7.3") and ZooKeeper ("ZooKeeper, version 3.9.3") say.
var versionOption = regexp.MustCompile(`(?:v=|[vV]ersion:? )([0-9]+(?:\.[0-9]+)+)`)

// findProgram looks for the program of a kind. One that a variable names is taken
// as it is; one that PATH happens to have must be of the right release.
func findProgram(k Kind) (path string, err error) {
	if wanted := os.Getenv(k.env("PROGRAM")); wanted != "" {
		return exec.LookPath(wanted)
	}
	path, err = fitting(k, k.program)
	if err == nil || k.another == nil {
		return path, err
	}
	path, instead := k.another(k)
	if instead == nil {
		path, instead = fitting(k, path)
	}
	if instead != nil {
		return "", fmt.Errorf("%w; %w", err, instead)
	}
	return path, nil
}

// fitting returns the path of a program of the right release.
func fitting(k Kind, program string) (string, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		return "", fmt.Errorf("%s is not on PATH", program)
	}
	version, err := programVersion(k, path)
	if err == nil && !k.fits(version) {
		err = fmt.Errorf("%s is of version %s, which is not %s", path, version, k.release)
	}
	return path, err
}

func programVersion(k Kind, path string) (string, error) {
	out, err := exec.Command(path, k.versionArgs...).Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", path, k.versionArgs[0], err)
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
