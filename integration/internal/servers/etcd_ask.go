package servers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// etcdPing is content with a server that has a leader.
func etcdPing(ctx context.Context, addr string) error {
	_, err := etcdAsk(ctx, http.MethodGet, addr, "/health")
	return err
}

func etcdVersion(ctx context.Context, addr string) (string, error) {
	answer, err := etcdAsk(ctx, http.MethodGet, addr, "/version")
	if err != nil {
		return "", err
	}
	var v struct{ EtcdServer string }
	if err := json.Unmarshal(answer, &v); err != nil {
		return "", err
	}
	if v.EtcdServer == "" {
		return "", errors.New("/version tells no version")
	}
	return v.EtcdServer, nil
}

// etcdStanding asks for the status, and where a user would have to ask, since
// authentication is switched on, for the metrics, which tell no term.
func etcdStanding(ctx context.Context, addr string) (standing, error) {
	answer, err := etcdAsk(ctx, http.MethodPost, addr, "/v3/maintenance/status")
	if err != nil {
		metrics, err := etcdMetrics(ctx, addr)
		return standing{leads: metrics["etcd_server_is_leader"] == 1}, err
	}
	var status struct {
		Header struct {
			Member string `json:"member_id"`
			Term   uint64 `json:"raft_term,string"`
		}
		Leader string
	}
	err = json.Unmarshal(answer, &status)
	return standing{leads: status.Leader != "" && status.Leader == status.Header.Member, term: status.Header.Term}, err
}

// etcdMetrics names a series as etcd does, with its labels.
func etcdMetrics(ctx context.Context, addr string) (map[string]float64, error) {
	answer, err := etcdAsk(ctx, http.MethodGet, addr, "/metrics")
	if err != nil {
		return nil, err
	}
	return parseNumbers(string(answer), " "), nil
}

func etcdAsk(ctx context.Context, method, addr, path string) ([]byte, error) {
	return httpSend(ctx, method, addr, path, "{}")
}

// httpSend makes one request, on a connection of its own.
func httpSend(ctx context.Context, method, addr, path, body string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+addr+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", path, res.Status, bytes.TrimSpace(answer))
	}
	return answer, err
}
