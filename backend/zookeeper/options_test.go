package zookeeper

import (
	"crypto/tls"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock/driver"
)

// TestOptions: what New is given becomes what Open makes of a URL.
func TestOptions(t *testing.T) {
	for _, tc := range []struct {
		servers []string
		opts    *Options
		url     string
	}{
		{[]string{"h"}, nil, "zookeeper://h"},
		{[]string{"h1", "h2:2"}, &Options{}, "zookeeper://h1,h2:2"},
		{[]string{"[::1]:3"}, &Options{}, "zookeeper://[::1]:3"},
		{[]string{"h"}, &Options{Namespace: "a", Chroot: "/b/c"}, "zookeeper://h/b/c?namespace=a"},
		{[]string{"h"}, &Options{User: "ann", Password: "a:b"}, "zookeeper://ann:a%3Ab@h"},
		{[]string{"h"}, &Options{User: "ann", Password: "p", ACL: zk.WorldACL(zk.PermRead)}, "zookeeper://ann:p@h?acl=world:anyone:r"},
	} {
		opts := tc.opts
		if opts == nil {
			opts = &Options{}
		}
		got, err := opts.config(tc.servers)
		if err != nil {
			t.Errorf("%s: %v", tc.url, err)
			continue
		}
		want, err := parse(t, tc.url)
		if err != nil {
			t.Fatal(err)
		}
		got.log, want.log = nil, nil
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", tc.url, got, want)
		}
	}
	conf, err := (&Options{TLS: &tls.Config{ServerName: "n"}}).config([]string{"h"})
	if err != nil || conf.tls == nil || conf.tls.Config("h").ServerName != "n" {
		t.Errorf("TLS: %+v, %v", conf, err)
	}
}

// TestWrongOptions are refused at once by the name of the field, and the password is not shown.
func TestWrongOptions(t *testing.T) {
	one := []string{"127.0.0.1:1"}
	for _, tc := range []struct {
		servers []string
		opts    *Options
		word    string
	}{
		{nil, nil, "servers"},
		{[]string{""}, nil, "servers"},
		{[]string{"h:0"}, nil, "servers"},
		{[]string{"h1,h2"}, nil, "servers"},
		{[]string{"zookeeper://h"}, nil, "servers"},
		{one, &Options{Namespace: "a/b"}, "Namespace"},
		{one, &Options{Namespace: "zookeeper"}, "Namespace"},
		{one, &Options{Chroot: "a"}, "Chroot"},
		{one, &Options{Chroot: "/a/"}, "Chroot"},
		{one, &Options{Chroot: "/"}, "Chroot"},
		{one, &Options{User: "ann"}, "Password"},
		{one, &Options{Password: hidden}, "User"},
		{one, &Options{User: "a:b", Password: hidden}, "colon"},
		{one, &Options{ACL: []zk.ACL{}}, "ACL"},
	} {
		began := time.Now()
		b, err := New(t.Context(), tc.servers, tc.opts)
		if err == nil {
			_ = b.Close()
		}
		if !errors.Is(err, driver.ErrInvalid) || !strings.Contains(err.Error(), tc.word) || strings.Contains(err.Error(), hidden) || time.Since(began) > time.Second {
			t.Errorf("%q, %+v: %v after %v, want ErrInvalid that names %s", tc.servers, tc.opts, err, time.Since(began), tc.word)
		}
	}
}

// TestNewSaysWhy: New fails as Open does, and its options are copied.
func TestNewSaysWhy(t *testing.T) {
	opts := &Options{ACL: zk.WorldACL(zk.PermRead)}
	conf, err := opts.config([]string{"h"})
	opts.ACL[0].Perms = zk.PermAll
	if err != nil || !slices.Equal(conf.acl, zk.WorldACL(zk.PermRead)) {
		t.Errorf("%+v, %v", conf.acl, err)
	}
	hung := listen(t, hangUp)
	b, err := New(t.Context(), []string{hung}, nil)
	if err == nil {
		_ = b.Close()
	}
	if !errors.Is(err, driver.ErrUnavailable) || !strings.Contains(err.Error(), hung) {
		t.Errorf("New = %v, want ErrUnavailable and the server", err)
	}
}
