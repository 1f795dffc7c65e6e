package dirlock

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"sync"
)

// ForeignError means that a directory belongs to another user.
type ForeignError struct {
	Dir   string
	Owner int // the user's number
	// Fix is what to do besides giving the directory away.
	Fix string
}

func (e *ForeignError) Error() string {
	return fmt.Sprintf("the directory %s belongs to the user %s, and this process runs as %s: %s, or give it away with chown -R %d",
		e.Dir, User(e.Owner), User(os.Geteuid()), e.Fix, os.Geteuid())
}

// checkOwner refuses the directory of another user, root included: the files that we would make
// there could not be read by that user's processes, which would be locked out.
func checkOwner(root *os.Root) error {
	found, err := root.Stat(".")
	if err != nil {
		return err
	}
	if uid, _, ok := OwnerOf(found); ok && uid != os.Geteuid() {
		return &ForeignError{root.Name(), uid, "run this process as that user"}
	}
	return nil
}

// names are those that were asked for. A machine may ask a server for them, which is not to be
// waited for each time that an error is printed.
var names sync.Map

// User is a user for messages: the name, if there is one, and the number.
func User(uid int) string {
	return named("user", uid, func(id string) (string, error) {
		u, err := user.LookupId(id)
		if err != nil {
			return "", err
		}
		return u.Username, nil
	})
}

// Group is the same for a group.
func Group(gid int) string {
	return named("group", gid, func(id string) (string, error) {
		g, err := user.LookupGroupId(id)
		if err != nil {
			return "", err
		}
		return g.Name, nil
	})
}

func named(what string, id int, lookup func(id string) (string, error)) string {
	number := strconv.Itoa(id)
	if known, ok := names.Load(what + number); ok {
		return known.(string)
	}
	text := number
	if name, err := lookup(number); err == nil {
		text = fmt.Sprintf("%s (%s)", name, number)
	}
	names.Store(what+number, text)
	return text
}
