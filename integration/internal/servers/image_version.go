package servers

import (
	"bytes"
	"context"
	"fmt"
	"sync"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"
)

// imageVersions remembers what each program of an image answered: running one in a
// container takes as long as starting the container.
var imageVersions sync.Map

// imageVersion asks the program in a running container for its version.
func imageVersion(ctx context.Context, docker *client.Client, image, id string, k Kind) (string, error) {
	key := image + " " + k.program
	if known, ok := imageVersions.Load(key); ok {
		return known.(string), nil
	}
	run, err := docker.ExecCreate(ctx, id, client.ExecCreateOptions{Cmd: append([]string{k.program}, k.versionArgs...), AttachStdout: true})
	if err != nil {
		return "", fmt.Errorf("version of %s: %w", k.program, err)
	}
	out, err := docker.ExecAttach(ctx, run.ID, client.ExecAttachOptions{})
	if err != nil {
		return "", fmt.Errorf("version of %s: %w", k.program, err)
	}
	defer out.Close()
	var text bytes.Buffer
	if _, err := stdcopy.StdCopy(&text, &text, out.Reader); err != nil {
		return "", fmt.Errorf("version of %s: %w", k.program, err)
	}
	version, err := parseVersion(text.String())
	if err == nil {
		imageVersions.Store(key, version)
	}
	return version, err
}
