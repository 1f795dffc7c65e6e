// Package images carries the script that builds server images from Debian's
// packages and from source, so that the tests can run it from wherever they are
// compiled to.
package images

import "embed"

// Files are the script, build.sh, whose arguments are names of images, and
// zkServer.sh, which starts Debian's ZooKeeper.
//
//go:embed build.sh zkServer.sh
var Files embed.FS
