package etcd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strconv"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/etcd/internal/cluster"
	"github.com/fencelock/fencelock/backend/etcd/internal/login"
	"github.com/fencelock/fencelock/backend/etcd/internal/session"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/address"
)

func init() {
	for _, scheme := range []string{"etcd", "etcds"} {
		fencelock.Register(scheme, Open)
	}
}

// Options configure a backend made by [New]. Nil and zero fields mean the
// defaults.
type Options struct {
	// Namespace is what all keys begin with: 1 to 64 letters, digits and
	// . _ : - / characters. "fencelock" if empty. Clients that are to exclude each
	// other have the same.
	Namespace string

	// Logger gets what an operator should know and no call returns: that leases cannot be kept
	// alive, and that they can again, that one has ended, that a login or a watch is refused.
	// slog.Default() if nil. Only for New; Open has the one of fencelock.Options.
	Logger *slog.Logger
}

// Open connects to the cluster that u names; see the package comment for the form
// of the URL. It is what fencelock.Open calls.
func Open(ctx context.Context, u *url.URL, o driver.OpenOptions) (driver.Backend, error) {
	log := o.Log("etcd")
	t, err := parseURL(u, log)
	if err != nil {
		return nil, err
	}
	troubles := &cluster.Trouble{Contact: address.NewContact(log)}
	shortcut := new(cluster.Shortcut)
	t.conf.DialOptions = append(t.conf.DialOptions, grpc.WithChainUnaryInterceptor(shortcut.Unary)) // the first: around the others
	disconnect := func() {}
	if t.name != "" {
		// The client itself does not know the user: it would log in by itself.
		user := login.New(t.name, t.password, len(t.conf.Endpoints), troubles.Contact)
		t.conf.DialOptions = append(t.conf.DialOptions, user.Options()...)
		disconnect = user.Close
	}
	t.conf.DialOptions = append(t.conf.DialOptions, grpc.WithChainUnaryInterceptor(troubles.Unary)) // after that of the login, so inside it
	client, err := clientv3.New(t.conf)
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	ctx, w := address.NewWatch(ctx, u.Scheme, t.servers...)
	b, err := open(ctx, client, t.opts, troubles, shortcut)
	if err = w.End(withLoginHint(u.Scheme, err)); err != nil {
		disconnect()
		_ = client.Close() // says nothing that matters after err
		return nil, err
	}
	b.disconnect = func() error {
		disconnect()
		return client.Close()
	}
	return b, nil
}

// New makes a backend of a client that the application has. Close leaves the
// client open. opts may be nil.
//
// A client without DialKeepAliveTime notices a member that has gone silent late;
// requests that are lost to it then cost their timeout each.
func New(ctx context.Context, client *clientv3.Client, opts *Options) (driver.Backend, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	if client == nil {
		return nil, address.Invalid("the client is nil")
	}
	log := driver.OpenOptions{Logger: o.Logger}.Log("etcd")
	b, err := open(ctx, client, o, &cluster.Trouble{Contact: address.NewContact(log)}, nil) // no request is noted in it
	if err != nil {
		return nil, err // b is a nil *backend, which would be no nil driver.Backend
	}
	return b, nil
}

func open(ctx context.Context, client *clientv3.Client, opts Options, t *cluster.Trouble, shortcut *cluster.Shortcut) (*backend, error) {
	if opts.Namespace == "" {
		opts.Namespace = defaultNamespace
	}
	if why := checkNamespace(opts.Namespace); why != "" {
		return nil, fmt.Errorf("%w: namespace %q: %s", driver.ErrInvalid, opts.Namespace, why)
	}
	b := newBackend(cluster.New(client, t, shortcut), namespace(opts.Namespace))
	if client.Username != "" {
		b.info.Warnings = append(b.info.Warnings, "the client was made with a password and logs in by itself, inside the time of single requests: leases of a few seconds may be lost when a member restarts; open the backend by a URL")
	}
	probe := prober(b.lister)
	if err := probe.checkServer(ctx); err != nil {
		b.conn.Close()
		return nil, err
	}
	if b.conn.Proxied {
		b.conn.FullTimeout = true
		b.info.Warnings = append(b.info.Warnings, fmt.Sprintf("the address is that of a proxy (etcd grpc-proxy), which keeps leases alive in its own time: leases are not shorter than %v, and the first lock of a TTL may take half a second; connect to the members", session.ProxiedTTL))
	}
	b.conn.Contact.Reached()
	return b, nil
}

// withLoginHint adds to an error of Open where user and password go, if the error is about them.
func withLoginHint(scheme string, err error) error {
	form := fmt.Sprintf("%s://user:password@host, or %s://user@host?password_file=/path", scheme, scheme)
	switch {
	case errors.Is(err, rpctypes.ErrUserEmpty):
		return fmt.Errorf("%w (the servers want a user and a password: write %s)", err, form)
	case errors.Is(err, rpctypes.ErrAuthFailed):
		return fmt.Errorf("%w (look at user and password: %s; special characters in the URL are percent-encoded)", err, form)
	}
	return err
}

// answerTimeout is how long the cluster has for an answer when a client is opened: enough for an election.
const answerTimeout = 5 * time.Second

// prober finds out, when a backend is opened, whether the server is one on which locks can be kept.
type prober lister

// checkServer asks whether a quorum answers, whether we may read and write the namespace, whether
// it takes the transactions of a lock, which some that speak etcd's protocol do not, and whether
// there is a proxy.
func (p *prober) checkServer(ctx context.Context) error {
	bounded, cancel := context.WithTimeoutCause(ctx, answerTimeout, fmt.Errorf("no answer within %v", answerTimeout))
	defer cancel()
	if err := p.checkAnswers(bounded); err != nil {
		return err
	}
	err := p.retry(bounded, "writing "+string(p.ns), p.tryTransaction)
	switch {
	case err == nil:
	case errors.Is(err, driver.ErrUnavailable), cluster.CodeOf(err) == codes.PermissionDenied, errors.Is(err, rpctypes.ErrAuthFailed):
		return err
	default:
		return fmt.Errorf("etcd: %s refuses the transactions that a lock is made of: this is not etcd, or not all of it (kine, for one, takes only those of Kubernetes): %w", p.serverNames(bounded), err)
	}
	err = p.retry(bounded, "keeping a lease alive", func(ctx context.Context) (err error) {
		p.conn.Proxied, err = session.DetectProxy(ctx, p.conn.Client)
		return err
	})
	if errors.Is(err, driver.ErrUnavailable) && ctx.Err() == nil {
		err = fmt.Errorf("%w (etcd grpc-proxy keeps none alive where users have passwords)", err)
	}
	return err
}

// retry asks until there is an answer, as long as ctx allows: one member after the other, unless
// there is only one, or the application's client may have to log in first.
func (p *prober) retry(ctx context.Context, what string, ask func(context.Context) error) error {
	var why error // of the last member that was asked
	limit := answerTimeout
	if !p.conn.FullTimeout {
		limit /= 4
	}
	for pause := 5 * time.Millisecond; ; pause *= 2 {
		once, cancel := context.WithTimeout(ctx, limit)
		err := ask(clientv3.WithRequireLeader(once))
		cancel()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
		case cluster.IsPermanent(err):
			return fmt.Errorf("%s: %w", what, cluster.Classify(err))
		default:
			why = err
		}
		if !cluster.Sleep(ctx, min(pause, answerTimeout/20)) {
			err := fmt.Errorf("%w: %s: %w", driver.ErrUnavailable, what, context.Cause(ctx))
			if why != nil {
				err = fmt.Errorf("%w: %w", err, &cluster.PlainError{Err: why})
			}
			return err
		}
	}
}

// tryTransaction sends a transaction with all that locks are made of: conditions on revisions, also of
// all claims of a lock, a count, a claim, a deletion. The first condition is never true, so the
// transaction changes nothing, whatever else is on the server. No lock has its name.
func (p *prober) tryTransaction(ctx context.Context) error {
	prefix, epochKey := p.ns.prefix(""), p.ns.epochKey(session.NoLease)
	_, err := p.conn.Client.Txn(ctx).
		If(
			clientv3.Compare(clientv3.CreateRevision(prefix+"0"), "=", -1),
			clientv3.Compare(clientv3.ModRevision(epochKey), "=", 0),
			clientv3.Compare(clientv3.CreateRevision(prefix), "=", 0).WithPrefix(),
		).
		Then(
			clientv3.OpGet(prefix, clientv3.WithPrefix(), clientv3.WithCountOnly()),
			clientv3.OpPut(prefix+"0", ""),
			clientv3.OpDelete(epochKey),
		).Commit()
	return err
}

// serverNames returns words for the server: the names that its members have.
func (p *prober) serverNames(ctx context.Context) string {
	bounded, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	all, err := p.conn.Client.MemberList(bounded)
	if err != nil {
		return "the server"
	}
	var names []string
	for _, m := range all.Members {
		names = append(names, strconv.Quote(m.Name))
	}
	return "the server, whose members call themselves " + strings.Join(names, ", ") + ","
}

// checkAnswers asks whether a quorum answers, and whether we may read the namespace.
// The request bypasses the client's own retries, which would take minutes,
// and would not tell what is wrong: a certificate, say.
func (p *prober) checkAnswers(ctx context.Context) error {
	locks := p.ns.locks()
	request := &pb.RangeRequest{Key: []byte(locks), RangeEnd: []byte(clientv3.GetPrefixRangeEnd(locks)), CountOnly: true}
	return p.retry(ctx, "reading "+locks, func(ctx context.Context) error {
		_, err := pb.NewKVClient(p.conn.Client.ActiveConnection()).Range(ctx, request)
		return rpctypes.Error(err)
	})
}
