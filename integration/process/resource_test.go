package process_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock/fencing"
	"github.com/fencelock/fencelock/integration/internal/locktest"
)

// resource is a counter that processes reach by HTTP, and that refuses old tokens. Its
// value is read and written in two steps, so that two holders at a time would lose an
// increment.
type resource struct {
	url  string
	gate fencing.Gate // and its Do guards the rest

	value    int
	writes   int             // that were let through
	accepted []fencing.Token // of reads and writes, in order
}

func startResource(t *testing.T) *resource {
	t.Helper()
	r := &resource{}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	r.url = server.URL
	return r
}

// ServeHTTP reads with GET and writes with POST.
func (r *resource) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	token, err := fencing.Parse(req.FormValue("token"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var value int
	err = r.gate.Do(key, token, func() (err error) {
		if req.Method == http.MethodPost {
			if r.value, err = strconv.Atoi(req.FormValue("value")); err != nil {
				return err
			}
			r.writes++
		}
		value = r.value
		r.accepted = append(r.accepted, token)
		return nil
	})
	if err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	fmt.Fprint(w, value)
}

// resourceClient is how a process reaches the resource.
type resourceClient struct {
	http http.Client
	url  string
}

func newResourceClient(resource string) *resourceClient {
	return &resourceClient{http: http.Client{Timeout: soon}, url: resource}
}

func (c *resourceClient) read(token fencing.Token) (int, error) {
	return c.do(http.MethodGet, url.Values{"token": {token.String()}})
}

func (c *resourceClient) write(token fencing.Token, value int) error {
	_, err := c.do(http.MethodPost, url.Values{"token": {token.String()}, "value": {strconv.Itoa(value)}})
	return err
}

func (c *resourceClient) do(method string, form url.Values) (int, error) {
	req, err := http.NewRequest(method, c.url+"?"+form.Encode(), nil)
	if err != nil {
		return 0, err
	}
	answer, err := c.http.Do(req)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	switch {
	case err != nil:
		return 0, err
	case answer.StatusCode == http.StatusConflict:
		return 0, fmt.Errorf("%w: %s", fencing.ErrStale, strings.TrimSpace(string(body)))
	case answer.StatusCode != http.StatusOK:
		return 0, fmt.Errorf("the resource says %s: %s", answer.Status, body)
	}
	return strconv.Atoi(string(body))
}

// passed waits until another has used the resource with a higher token.
func (r *resource) passed(token fencing.Token, within time.Duration) bool {
	return locktest.Within(within, func() bool { return r.gate.Highest(key) > token })
}
