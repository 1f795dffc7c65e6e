package servers

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/moby/moby/client"
)

const (
	memberPackage = "github.com/fencelock/fencelock/integration/member"
	memberProgram = "member"
	memberImages  = "fencelock/member"
)

// buildMember builds the program of the code as it is, once for each run, and keeps it in
// the cache under the hash of its content: runs of other packages, of the same code, use the
// same file.
var buildMember = sync.OnceValues(func() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Join(cache, "fencelock"), 0o755); err != nil {
		return "", err
	}
	own, err := os.MkdirTemp(filepath.Join(cache, "fencelock"), "member-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(own)
	draft := filepath.Join(own, memberProgram)
	ctx, cancel := context.WithTimeout(context.Background(), imageLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", draft, memberPackage)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build %s: %w: %s", memberPackage, err, out)
	}
	program, err := os.ReadFile(draft)
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "fencelock", memberProgram)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	final := filepath.Join(dir, hashOf(program))
	return final, os.Rename(draft, final)
})

func hashOf(program []byte) string {
	sum := sha256.Sum256(program)
	return hex.EncodeToString(sum[:6])
}

// memberImage puts the program into an image, which has nothing else in it.
func memberImage(ctx context.Context, docker *client.Client) (string, error) {
	path, err := buildMember()
	if err != nil {
		return "", err
	}
	image := memberImages + ":" + filepath.Base(path)
	if present(ctx, docker, image) {
		return image, nil
	}
	program, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	layer, err := layerOf(program)
	if err != nil {
		return "", err
	}
	out, err := docker.ImageImport(ctx, client.ImageImportSource{Source: layer, SourceName: "-"}, image, client.ImageImportOptions{
		Changes: []string{"WORKDIR " + containerDir, "ENV PATH=/usr/local/bin"},
	})
	if err != nil {
		return "", fmt.Errorf("importing %s: %w", image, err)
	}
	defer out.Close()
	var said bytes.Buffer
	if _, err := said.ReadFrom(out); err != nil {
		return "", err
	}
	if strings.Contains(said.String(), `"error"`) {
		return "", fmt.Errorf("importing %s: %s", image, said.String())
	}
	return image, nil
}

func layerOf(program []byte) (*bytes.Buffer, error) {
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	for _, dir := range []string{"usr/", "usr/local/", "usr/local/bin/", strings.TrimPrefix(containerDir, "/") + "/"} {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o755}); err != nil {
			return nil, err
		}
	}
	if err := w.WriteHeader(&tar.Header{Name: "usr/local/bin/" + memberProgram, Mode: 0o755, Size: int64(len(program))}); err != nil {
		return nil, err
	}
	if _, err := w.Write(program); err != nil {
		return nil, err
	}
	return &layer, w.Close()
}
