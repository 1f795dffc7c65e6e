//go:build !race

package bootstrap

const raced = false
