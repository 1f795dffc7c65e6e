// Package images carries the script that builds server images from Debian's
// packages, so that the tests can run it from wherever they are compiled to.
package images

import _ "embed"

// Script is build.sh. Its arguments are names of images.
//
//go:embed build.sh
var Script string
