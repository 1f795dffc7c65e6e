// Command release makes a release of all modules that others can use: one commit, and
// a tag for each module. It pushes nothing. docs/releasing.md tells what comes before
// and after.
//
//	go run ./internal/release v0.2.0
//	go run ./internal/release list    # the folders of these modules
package main

import (
	"errors"
	"fmt"
	"os"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 || args[0] == "" {
		return errors.New("which version? make release V=v0.2.0")
	}
	r := repository{dir: "."}
	if args[0] == "list" {
		modules, err := r.modules()
		if err != nil {
			return err
		}
		for _, m := range modules {
			if m.released() {
				fmt.Println(m.dir)
			}
		}
		return nil
	}
	done, err := r.release(args[0])
	if err != nil {
		return err
	}
	fmt.Print(done)
	return nil
}
