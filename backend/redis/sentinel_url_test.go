package redis

import (
	"errors"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock"
)

// sentinelURL parses a URL with several hosts, as fencelock.Open does.
func sentinelURL(t *testing.T, raw string) *url.URL {
	t.Helper()
	scheme, rest, _ := strings.Cut(raw, "://")
	end := strings.IndexByte(rest, '/')
	start := strings.LastIndexByte(rest[:end], '@') + 1
	u, err := url.Parse(scheme + "://" + rest[:start] + "hosts" + rest[end:])
	if err != nil {
		t.Fatal(err)
	}
	u.Host = rest[start:end]
	return u
}

func TestSentinelURL(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("from a file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		url, name      string
		addrs          []string
		db             int
		user, password string
		theirs         string // user and password of the Sentinels
		namespace      string
	}{
		{url: "redis+sentinel://s1,s2:1234,[::1]/m", name: "m", addrs: []string{"s1:26379", "s2:1234", "[::1]:26379"}},
		{url: "redis+sentinel://s1/my-master_1.a/3?namespace=x", name: "my-master_1.a", addrs: []string{"s1:26379"}, db: 3, namespace: "x"},
		{url: "redis+sentinel://ann:pw@s1,s2/m/", name: "m", addrs: []string{"s1:26379", "s2:26379"}, user: "ann", password: "pw"},
		{url: "redis+sentinel://:pw@s1/m?sentinel_user=bob&sentinel_password=p%26w", name: "m", addrs: []string{"s1:26379"}, password: "pw", theirs: "bob p&w"},
		{url: "redis+sentinel://s1/m?sentinel_password=pw", name: "m", addrs: []string{"s1:26379"}, theirs: " pw"},
		{url: "redis+sentinel://s1/m?sentinel_user=bob&sentinel_password_file=" + file, name: "m", addrs: []string{"s1:26379"}, theirs: "bob from a file"},
		{url: "rediss+sentinel://s1/m?server_name=x", name: "m", addrs: []string{"s1:26379"}},
	} {
		u := sentinelURL(t, tc.url)
		conf, c, opts, certificates, err := parseSentinelURL(u, slog.Default())
		if err != nil {
			t.Errorf("%s: %v", tc.url, err)
			continue
		}
		if c.Name != tc.name || !slices.Equal(c.Addrs, tc.addrs) || conf.DB != tc.db || conf.Username != tc.user || conf.Password != tc.password || opts.Namespace != tc.namespace {
			t.Errorf("%s: %s at %q, %d, %q %q, %+v", tc.url, c.Name, c.Addrs, conf.DB, conf.Username, conf.Password, opts)
		}
		if got := loginOf(t, &c.Options); got != tc.theirs {
			t.Errorf("%s: the Sentinels' login is %q, want %q", tc.url, got, tc.theirs)
		}
		for _, o := range []*goredis.Options{&conf, &c.Options} {
			if o.Dialer == nil || o.MaxRetries != -1 || o.DialerRetries != 1 || !o.ContextTimeoutEnabled || o.Network != "tcp" && o == &conf {
				t.Errorf("%s: %+v", tc.url, o)
			}
		}
		if (certificates != nil) != (u.Scheme == "rediss+sentinel") {
			t.Errorf("%s: certificates %v", tc.url, certificates)
		}
	}
}

func loginOf(t *testing.T, o *goredis.Options) string {
	t.Helper()
	user, password := o.Username, o.Password
	if ask := o.CredentialsProviderContext; ask != nil {
		var err error
		if user, password, err = ask(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if user+password == "" {
		return ""
	}
	return user + " " + password
}

// Every bad URL gets an error that names what is wrong in it, is ErrInvalid, and shows no password.
func TestBadSentinelURL(t *testing.T) {
	for raw, field := range map[string]string{
		"redis+sentinel://ann:h1dden@/m":                                           "host",
		"redis+sentinel://ann:h1dden@s1,s2/":                                       "the name of the master",
		"redis+sentinel://ann:h1dden@s1,s2/a%20b":                                  "letters, digits",
		"redis+sentinel://ann:h1dden@s1,s1:26379/m":                                "twice",
		"redis+sentinel://ann:h1dden@s1,s2:x/m":                                    "port",
		"redis+sentinel://ann:h1dden@s1/m/x":                                       "database /x",
		"redis+sentinel://ann:h1dden@s1/m?db=3":                                    "/mymaster/1",
		"redis+sentinel://ann:h1dden@s1/m?master_name=x":                           "redis+sentinel://s1,s2,s3/mymaster",
		"redis+sentinel://ann:h1dden@s1/m?server_name=x":                           "rediss+sentinel://",
		"redis+sentinel://ann:h1dden@s1/m?sentinel_user=u":                         "sentinel_password_file=",
		"redis+sentinel://ann:h1dden@s1/m?sentinel_user=u&sentinel_password=":      "sentinel_password=",
		"redis+sentinel://s1/m?sentinel_password=h1dden&sentinel_password_file=/p": "give one of them",
		"redis+sentinel://s1/m?sentinel_password=h1dden&sentinel_password=h1dden":  "twice",
		"redis+sentinel://s1/m?sentinel_password_file=/does/not/exist":             "sentinel_password_file=: open",
		"redis+sentinel://s1/m?sentinel_password=h1dden&namespace=":                "namespace",
		"redis+sentinel://h1dden@s1/m":                                             "redis+sentinel://:password@host",
		"rediss+sentinel://s1/m?sentinel_password=h1dden&ca=/does/not/exist":       "ca=",
		"redis+sentinel://ann:h1dden@s1/m?password_file=/p":                        "give one of them",
		"redis+sentinel://s1/m?sentinel_password=h1dden&sentinel_pasword_file=/p":  "for sentinel_password_file= perhaps",
	} {
		_, _, _, _, err := parseSentinelURL(sentinelURL(t, raw), slog.Default())
		if !errors.Is(err, fencelock.ErrInvalid) || !strings.Contains(err.Error(), field) || strings.Contains(err.Error(), hidden) {
			t.Errorf("%s: %v; want ErrInvalid that says %q and shows no password", raw, err, field)
		}
	}
}
