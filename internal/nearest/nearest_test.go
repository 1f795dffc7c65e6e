package nearest_test

import (
	"testing"

	"github.com/fencelock/fencelock/internal/nearest"
)

func TestWord(t *testing.T) {
	words := []string{"redis", "rediss", "etcd", "zookeeper", "mem", "password_file"}
	for given, want := range map[string]string{
		"redsi": "redis", "Redis": "redis", "redi": "redis", "redisss": "rediss", "zookeper": "zookeeper", "zokeeper": "zookeeper",
		"etdc": "etcd", "passwordfile": "password_file", "Password-File": "password_file", "mem": "mem",
		"zk": "", "consul": "", "": "", "x": "", "postgres": "", "password": "",
	} {
		if got := nearest.Word(given, words); got != want {
			t.Errorf("%q: %q, want %q", given, got, want)
		}
	}
}
