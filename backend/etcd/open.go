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
	troubles := &trouble{contact: address.NewContact(log)}
	disconnect := func() {}
	if t.name != "" {
		// The client itself does not know the user: it would log in by itself.
		login := newLogin(t.name, t.password, len(t.conf.Endpoints))
		login.contact = troubles.contact
		t.conf.DialOptions = append(t.conf.DialOptions, login.options()...)
		disconnect = login.close
	}
	t.conf.DialOptions = append(t.conf.DialOptions, grpc.WithChainUnaryInterceptor(troubles.unary)) // after that of the login, so inside it
	client, err := clientv3.New(t.conf)
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	ctx, w := address.NewWatch(ctx, u.Scheme, t.servers...)
	b, err := open(ctx, client, t.opts, troubles)
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
	b, err := open(ctx, client, o, &trouble{contact: address.NewContact(log)}) // no request is noted in it
	if err != nil {
		return nil, err // b is a nil *backend, which would be no nil driver.Backend
	}
	return b, nil
}

func open(ctx context.Context, client *clientv3.Client, opts Options, troubles *trouble) (*backend, error) {
	if opts.Namespace == "" {
		opts.Namespace = defaultNamespace
	}
	if why := checkNamespace(opts.Namespace); why != "" {
		return nil, fmt.Errorf("%w: namespace %q: %s", driver.ErrInvalid, opts.Namespace, why)
	}
	b := &backend{
		client:      client,
		trouble:     troubles,
		contact:     troubles.contact,
		fullTimeout: len(client.Endpoints()) == 1 || client.Username != "",
		namespace:   opts.Namespace,
		info: driver.Info{
			Name:      "etcd",
			Guarantee: driver.Linearizable,
			Features:  driver.Fair | driver.Push,
			Namespace: opts.Namespace,
			MinTTL:    time.Second,
			MaxTTL:    24 * time.Hour,
		},
		sessions: make(map[time.Duration]*opening),
		names:    make(map[string]*attempt),
	}
	if client.Username != "" {
		b.info.Warnings = append(b.info.Warnings, "the client was made with a password and logs in by itself, inside the time of single requests: leases of a few seconds may be lost when a member restarts; open the backend by a URL")
	}
	b.closing, b.beginStop = context.WithCancel(context.Background())
	b.checkLimit.Store(maxCheck)
	b.batch = batch{client: client, closing: b.closing, maxTxns: maxBatch}
	if err := b.checkServer(ctx); err != nil {
		b.beginStop()
		return nil, err
	}
	if b.proxied {
		b.fullTimeout = true
		b.info.Warnings = append(b.info.Warnings, fmt.Sprintf("the address is that of a proxy (etcd grpc-proxy), which keeps leases alive in its own time: leases are not shorter than %v, and the first lock of a TTL may take half a second; connect to the members", proxiedTTL))
	}
	b.contact.Reached()
	return b, nil
}

// answerTimeout is how long the cluster has, when a client is opened, for an answer:
// enough for an election.
const answerTimeout = 5 * time.Second

// checkServer asks whether a quorum answers, whether we may read and write the namespace, whether
// it takes the transactions of a lock, which some that speak etcd's protocol do not, and whether
// there is a proxy.
func (b *backend) checkServer(ctx context.Context) error {
	bounded, cancel := context.WithTimeoutCause(ctx, answerTimeout, fmt.Errorf("no answer within %v", answerTimeout))
	defer cancel()
	if err := b.checkAnswers(bounded); err != nil {
		return err
	}
	err := b.retry(bounded, "writing "+b.namespace, b.tryTransaction)
	switch {
	case err == nil:
	case errors.Is(err, driver.ErrUnavailable), codeOf(err) == codes.PermissionDenied, errors.Is(err, rpctypes.ErrAuthFailed):
		return err
	default:
		return fmt.Errorf("etcd: %s refuses the transactions that a lock is made of: this is not etcd, or not all of it (kine, for one, takes only those of Kubernetes): %w", b.serverNames(bounded), err)
	}
	err = b.retry(bounded, "keeping a lease alive", func(ctx context.Context) (err error) {
		b.proxied, err = b.detectProxy(ctx)
		return err
	})
	if errors.Is(err, driver.ErrUnavailable) && ctx.Err() == nil {
		err = fmt.Errorf("%w (etcd grpc-proxy keeps none alive where users have passwords)", err)
	}
	return err
}

// retry asks until there is an answer, as long as ctx allows: one member after the other, unless
// there is only one, or the application's client may have to log in first.
func (b *backend) retry(ctx context.Context, what string, ask func(context.Context) error) error {
	var why error // of the last member that was asked
	limit := answerTimeout
	if !b.fullTimeout {
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
		case isPermanent(err):
			return fmt.Errorf("%s: %w", what, classify(err))
		default:
			why = err
		}
		if !sleep(ctx, min(pause, answerTimeout/20)) {
			err := fmt.Errorf("%w: %s: %w", driver.ErrUnavailable, what, context.Cause(ctx))
			if why != nil {
				err = fmt.Errorf("%w: %w", err, &plainError{why})
			}
			return err
		}
	}
}

// tryTransaction sends a transaction with all that locks are made of: conditions on revisions, also of
// all claims of a lock, a count, a claim, a deletion. The first condition is never true, so the
// transaction changes nothing, whatever else is on the server. No lock has its name.
func (b *backend) tryTransaction(ctx context.Context) error {
	prefix, epochKey := b.prefix(""), b.epochKeyOf(noLease)
	_, err := b.client.Txn(ctx).
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
func (b *backend) serverNames(ctx context.Context) string {
	bounded, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	all, err := b.client.MemberList(bounded)
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
func (b *backend) checkAnswers(ctx context.Context) error {
	locks := b.locksPrefix()
	request := &pb.RangeRequest{Key: []byte(locks), RangeEnd: []byte(clientv3.GetPrefixRangeEnd(locks)), CountOnly: true}
	return b.retry(ctx, "reading "+locks, func(ctx context.Context) error {
		_, err := pb.NewKVClient(b.client.ActiveConnection()).Range(ctx, request)
		return rpctypes.Error(err)
	})
}

const (
	// noLease is the ID of no lease: servers give each new one another ID.
	noLease = 0
	// proxiedTTL is the shortest lease behind a proxy: a second of it is lost by rounding, and
	// half a second by waiting.
	proxiedTTL = 5 * time.Second
)

// detectProxy finds out whether there is a proxy (etcd grpc-proxy) between us and the servers. A proxy
// keeps leases alive in its own time, by a client of its own that asks twice a second, or once in
// a third of a TTL, and gives one answer to all requests that have come until then. A request on a
// stream that is open already waits for a third of the TTL there; one on a new stream for half a
// second at most. And the proxy's client may have sent the question that is answered earlier than
// we sent ours. So behind a proxy each keep-alive has a stream of its own, after which we ask what is
// left; and short leases are made longer, since their renewals have less time.
//
// A proxy is known by its answer for a lease that never existed: etcd says 0, and a proxy −1.
func (b *backend) detectProxy(ctx context.Context) (bool, error) {
	a, err := b.openKeepAlive(ctx, ctx)
	if err != nil {
		return false, err
	}
	defer a.end()
	answer, err := a.ask(ctx, noLease)
	return err == nil && answer.TTL < 0, err
}
