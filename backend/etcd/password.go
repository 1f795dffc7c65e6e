package etcd

import (
	"errors"

	"github.com/fencelock/fencelock/driver/address"
)

// password is what a user logs in with: that of the URL, or what a file has at the time.
type password struct{ fixed, file string }

// errOldPassword: the password has been changed on the servers, and not in the file yet, or the
// other way round. The file is read again for the next login.
var errOldPassword = errors.New("etcd: the servers do not take the password that is in the file of password_file= now")

// now returns the password. A file may be half written, and then the servers refuse what it has; one
// that is empty, or is not there, is not even shown to them.
func (p password) now() (string, error) {
	if p.file == "" {
		return p.fixed, nil
	}
	return address.Password(p.file)
}
