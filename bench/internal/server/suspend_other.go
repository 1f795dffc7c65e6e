//go:build !unix

package server

import "os"

var suspend, resumes os.Signal // there are none
