package redis

import (
	"log/slog"
	"net/url"
	"slices"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
	"github.com/fencelock/fencelock/backend/redis/internal/sentinel"
	"github.com/fencelock/fencelock/driver/address"
)

var (
	sentinelParams    = append([]string{"sentinel_user", "sentinel_password_file", "sentinel_password"}, commonParams...)
	sentinelTLSParams = append(address.TLSParams(), sentinelParams...)
)

// parseSentinelURL reads
//
//	redis+sentinel://[user[:password]@]s1[:26379],s2,s3/master-name[/db][?parameters]
//
// conf is for connections to the master; certificates are for all connections, nil without TLS.
func parseSentinelURL(u *url.URL, log *slog.Logger) (conf goredis.Options, c sentinel.Config, opts Options, certificates *address.Certificates, err error) {
	conf, c.Options = node.BaseOptions(), node.BaseOptions()
	secure := u.Scheme == "rediss+sentinel"
	known := sentinelParams
	if secure {
		known = sentinelTLSParams
	}
	q, err := address.Params(u, known...)
	if err == nil {
		c.Addrs, err = parseSentinels(u)
	}
	if err == nil {
		c.Name, conf.DB, err = parseMaster(u)
	}
	if err == nil {
		err = node.ParseLogin(u, q, &conf, log)
	}
	if err == nil {
		err = parseSentinelLogin(q, &c.Options, log)
	}
	if err == nil {
		opts, err = parseCommon(q)
	}
	if err == nil && secure {
		certificates, err = address.TLS(q, log)
	}
	conf.Network, conf.Dialer = "tcp", node.Dialer(certificates, "")
	c.Options.Dialer = conf.Dialer
	return conf, c, opts, certificates, err
}

func parseSentinels(u *url.URL) ([]string, error) {
	hosts, err := address.Hosts(u, "26379")
	if err != nil {
		return nil, err
	}
	for i, host := range hosts {
		if slices.Contains(hosts[:i], host) {
			return nil, address.Invalid("the URL names the Sentinel %s twice", host)
		}
	}
	return hosts, nil
}

// parseMaster reads the path: the name of the master, and the number of the database.
func parseMaster(u *url.URL) (name string, db int, err error) {
	name, number, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	if why := checkMasterName(name); why != "" {
		return "", 0, address.Invalid("the name of the master is the path of the URL, as in %s://s1,s2,s3/mymaster: %s", u.Scheme, why)
	}
	db, err = node.ParseDB("database /", number)
	return name, db, err
}

// checkMasterName says what is wrong with the name of a master, or nothing. Sentinels have the same rule.
func checkMasterName(name string) string {
	const valid = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_"
	switch {
	case name == "":
		return "it is missing (it stands after \"sentinel monitor\" in the configuration of the Sentinels)"
	case strings.Trim(name, valid) != "":
		return "it may have letters, digits and . - _ only"
	}
	return ""
}

// parseSentinelLogin puts user and password of the Sentinels into options. Errors show no password.
func parseSentinelLogin(q url.Values, conf *goredis.Options, log *slog.Logger) error {
	user, password := q.Get("sentinel_user"), q.Get("sentinel_password")
	file := q.Has("sentinel_password_file")
	switch {
	case file && q.Has("sentinel_password"):
		return address.Invalid("sentinel_password_file= and sentinel_password=: give one of them")
	case file:
		path := q.Get("sentinel_password_file")
		if _, err := address.Password(path); err != nil {
			return address.Invalid("sentinel_%w", err) // which begins with password_file=
		}
		credentials, err := node.PasswordFile(user, path, log)
		if err != nil {
			return err
		}
		conf.CredentialsProviderContext = credentials
	case q.Has("sentinel_password") && password == "":
		return address.Invalid("sentinel_password= is empty")
	case user != "" && password == "":
		// Without a password go-redis does not log in at all.
		return address.Invalid("sentinel_user= needs sentinel_password_file=, or sentinel_password= (for a user of nopass any password does)")
	}
	if password != "" {
		conf.Username, conf.Password = user, password
	}
	return nil
}
