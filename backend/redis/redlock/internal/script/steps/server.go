package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/model"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/script"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
)

const identity = "list 1 node boot"

// server is a real one, and a namespace on it.
type server struct {
	client *goredis.Client
	ns     string
	names  *script.Names
	news   *goredis.PubSub
}

// newServer makes the namespace a certified node.
func newServer(ctx context.Context, client *goredis.Client, ns string) (*server, error) {
	s := &server{client: client, ns: ns, names: script.NewNames(ns)}
	if err := client.Set(ctx, s.names.Node(), identity, 0).Err(); err != nil {
		return nil, err
	}
	s.news = client.PSubscribe(ctx, "*") // the requests' channels have no prefix here
	_, err := s.news.Receive(ctx)
	return s, err
}

// do carries out a request, as a client would: with the script's text, since it may be the first. Of a Scan it asks for
// all parts.
func (s *server) do(ctx context.Context, expected string, r wire.Request) (any, error) {
	scan, isScan := r.(wire.Scan)
	if !isScan {
		return s.once(ctx, expected, r)
	}
	var all wire.ScanReply
	for {
		reply, err := s.once(ctx, expected, scan)
		if err != nil {
			return nil, err
		}
		part := reply.(wire.ScanReply) //nolint:forcetypeassert // Decode has made it
		all.Keys, all.Boot = append(all.Keys, part.Keys...), part.Boot
		if scan.From = part.Next; scan.From == "" {
			return all, nil
		}
	}
}

func (s *server) once(ctx context.Context, expected string, r wire.Request) (any, error) {
	sc, n, args := s.names.Encode(expected, r)
	keys := make([]string, n)
	for i := range keys {
		keys[i] = args[i].(string)
	}
	reply, err := s.client.Eval(ctx, sc.Source(), keys, args[n:]...).Result()
	if err != nil {
		return nil, err
	}
	return s.names.Decode(r, reply)
}

// told is what the server has published since the last time.
func (s *server) told(ctx context.Context) (told []model.Told, err error) {
	if err := s.client.Publish(ctx, "mark", s.ns).Err(); err != nil {
		return nil, err
	}
	for {
		m, err := s.news.ReceiveMessage(ctx)
		if err != nil {
			return nil, err
		}
		if m.Channel == "mark" {
			return told, nil
		}
		n, ok := script.Notice(m.Payload)
		if !ok {
			return nil, fmt.Errorf("the notice %q", m.Payload)
		}
		told = append(told, model.Told{Channel: m.Channel, Notice: n})
	}
}

// now is the server's time.
func (s *server) now(ctx context.Context) (time.Time, error) { return s.client.Time(ctx).Result() }

// kept reads all that the server keeps, by the names that the scripts give it.
func (s *server) kept(ctx context.Context) (*model.Node, error) {
	n := model.New()
	prefix := s.ns + ":redlock:"
	names, err := s.client.Keys(ctx, prefix+"*").Result()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		kind, key, _ := strings.Cut(strings.TrimPrefix(name, prefix), ":")
		p := s.client.Pipeline()
		until := p.PExpireTime(ctx, name)
		var text *goredis.StringCmd
		var positions *goredis.ZSliceCmd
		var waiters *goredis.MapStringStringCmd
		switch kind {
		case "q":
			positions, waiters = p.ZRangeWithScores(ctx, name, 0, -1), p.HGetAll(ctx, prefix+"w:"+key)
		case "w":
			continue
		default:
			text = p.Get(ctx, name)
		}
		if _, err := p.Exec(ctx); errors.Is(err, goredis.Nil) {
			continue // it has just expired
		} else if err != nil {
			return nil, err
		}
		end := until.Val().Milliseconds()
		var err error
		switch kind {
		case "node":
		case "t":
			var shard int
			var count uint64
			_, err = fmt.Sscan(key+" "+text.Val(), &shard, &count)
			n.Counters[shard] = count
		case "l":
			n.Claims[key], err = claim(text.Val(), end)
		case "x":
			attemptID, key, _ := strings.Cut(key, ":")
			t := model.Tombstone{Until: end}
			t.Try, err = strconv.ParseUint(text.Val(), 10, 64)
			n.Tombstones[model.AttemptKey{AttemptID: attemptID, Key: key}] = t
		case "q":
			q := &model.Waiters{Until: end, By: map[string]model.Waiter{}}
			n.Queues[key] = q
			for _, z := range positions.Val() {
				w := model.Waiter{Position: uint64(z.Score)}
				_, err = fmt.Sscan(waiters.Val()[z.Member.(string)], &w.Deadline, &w.Channel, &w.Try)
				q.By[z.Member.(string)] = w
			}
			switch n1, n2 := len(positions.Val()), len(waiters.Val()); {
			case n1 == 0 || n2 == 0: // it has just expired
				delete(n.Queues, key)
				err = nil
			case n1 != n2:
				err = fmt.Errorf("%d positions and %d waiters", n1, n2)
			}
		default:
			err = fmt.Errorf("what is it?")
		}
		if err != nil {
			return nil, fmt.Errorf("%q: %w", name, err)
		}
	}
	return n, nil
}

func claim(record string, until int64) (c model.Claim, err error) {
	words := strings.SplitN(record, " ", 6)
	if len(words) != 6 {
		return c, fmt.Errorf("record %q", record)
	}
	c = model.Claim{Channel: words[2], Meta: words[5], Until: until}
	c.ID.AttemptID = words[0]
	_, err = fmt.Sscan(words[1]+" "+words[3]+" "+words[4], &c.ID.Try, &c.Token, &c.TTL)
	return c, err
}
