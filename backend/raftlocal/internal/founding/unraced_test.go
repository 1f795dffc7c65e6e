//go:build !race

package founding

const raced = false
