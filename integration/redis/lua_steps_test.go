package redis_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// luaScripts are the scripts of backend/redis, put together as its scripts.go does.
type luaScripts map[string]*goredis.Script

// readScripts reads them. Change, if there is one, changes the text of a file, by its name.
func readScripts(change func(file, text string) string) (luaScripts, error) {
	read := func(file string) (string, error) {
		text, err := os.ReadFile(filepath.Join("../../backend/redis/lua", file+".lua"))
		if err != nil || change == nil {
			return string(text), err
		}
		return change(file, string(text)), nil
	}
	scripts := luaScripts{}
	for name, files := range map[string][]string{
		"acquire": {"acquire_fast", "lib", "acquire", "end"},
		"release": {"release_fast", "lib", "release", "end"},
		"renew":   {"renew_fast", "lib", "renew", "end"},
		"evict":   {"each", "lib", "evict", "end"},
		"inspect": {"each", "lib", "inspect", "end"},
		"format":  {"format"},
	} {
		var parts []string
		for _, file := range files {
			text, err := read(file)
			if err != nil {
				return nil, err
			}
			parts = append(parts, text)
		}
		scripts[name] = goredis.NewScript(strings.Join(parts, "\n"))
	}
	return scripts, nil
}

// luaServer is the locks of a namespace on a server, without a client of ours.
type luaServer struct {
	*goredis.Client
	scripts luaScripts
	ns      string
	keys    []string
	counter string // empty if each key keeps its token
	news    *goredis.PubSub
}

func newLuaServer(ctx context.Context, c *goredis.Client, scripts luaScripts, ns string, single bool, keys int) (*luaServer, error) {
	s := &luaServer{Client: c, scripts: scripts, ns: ns}
	for i := range keys {
		s.keys = append(s.keys, fmt.Sprintf("%s:{0}:k%d:l", ns, i))
	}
	if !single {
		s.counter = ns + ":t"
		if err := s.format(ctx); err != nil {
			return nil, err
		}
	}
	s.news = c.PSubscribe(ctx, ns+":c:*", ns+":mark")
	for range 2 {
		if _, err := s.news.Receive(ctx); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *luaServer) format(ctx context.Context) error {
	return s.scripts["format"].Run(ctx, s, []string{s.counter, s.ns + ":{0}:t", s.ns + ":{1}:t"}, "a word").Err()
}

// run runs a step, and returns what the script says of each lock.
func (s *luaServer) run(ctx context.Context, step *luaStep) ([]luaAnswer, error) {
	var keys []string
	for _, k := range step.keys {
		keys = append(keys, s.keys[k])
	}
	ttl := fmt.Sprint(step.ttls[0])
	var args []any
	switch step.script {
	case "acquire":
		args = []any{step.client, ttl, step.mode, step.identity}
	case "release":
		if !step.late {
			ttl = ""
		}
		args = []any{ttl}
	}
	for i, a := range step.attempts {
		switch {
		case step.script == "inspect":
		case step.script == "renew" && i > 0 && step.ttls[i] == step.ttls[i-1]:
			args = append(args, a, "")
		case step.script == "renew":
			args = append(args, a, step.ttls[i])
		default:
			args = append(args, a)
		}
	}
	if s.counter != "" && (step.script == "acquire" || step.script == "release" || step.script == "evict") {
		keys = append(keys, s.counter)
	}
	reply, err := s.scripts[step.script].Run(ctx, s, keys, args...).Slice()
	if err != nil {
		return nil, err
	}
	var answers []luaAnswer
	for _, r := range reply {
		a, err := parseAnswer(step.script, r)
		if err != nil {
			return nil, err
		}
		answers = append(answers, a)
	}
	return answers, nil
}

func parseAnswer(script string, reply any) (a luaAnswer, err error) {
	ms := func(v any) span { n, _ := v.(int64); return span{n, n} }
	switch r := reply.(type) {
	case nil:
		return luaAnswer{word: "released"}, nil
	case string:
		words := strings.Fields(r)
		word := words[0]
		if word == "HALFWAY" {
			word += " " + words[1]
		}
		return luaAnswer{word: "error " + word}, nil
	case int64:
		switch {
		case script != "acquire":
			return luaAnswer{word: strconv.FormatInt(r, 10)}, nil
		case r > 0:
			return luaAnswer{word: "token", token: uint64(r)}, nil
		}
		return luaAnswer{word: "others wait"}, nil
	case []any:
		switch {
		case script == "inspect" && len(r) == 5:
			a = luaAnswer{word: "nobody", n: r[4].(int64)}
			if r[0] != "" {
				a.word, a.identity, a.left = fmt.Sprint("holder ", r[0]), r[1].(string), ms(r[3])
				a.token, err = strconv.ParseUint(r[2].(string), 10, 64)
			}
			return a, err
		case len(r) == 2:
			return luaAnswer{word: "held", left: ms(r[0]), identity: r[1].(string)}, nil
		case len(r) == 3:
			last, _ := r[2].(int64)
			return luaAnswer{word: []string{"behind", "first"}[r[0].(int64)], left: ms(r[1]), token: uint64(last)}, nil //nolint:gosec // not negative
		}
	}
	return a, fmt.Errorf("%s says %v", script, reply)
}

// told is what the server has published since the last time.
func (s *luaServer) told(ctx context.Context) (told []string, err error) {
	if err := s.Publish(ctx, s.ns+":mark", "").Err(); err != nil {
		return nil, err
	}
	for {
		m, err := s.news.ReceiveMessage(ctx)
		if err != nil {
			return nil, err
		}
		if m.Channel == s.ns+":mark" {
			return told, nil
		}
		told = append(told, m.Channel+" "+m.Payload)
	}
}

// keptLock is what the server keeps of a lock.
type keptLock struct {
	kind   string
	life   int64             // what is left of the key, in ms
	fields map[string]string // of a hash; a string is "l"
}

// kept reads what is there: the locks, the counter, the server's time in ms.
func (s *luaServer) kept(ctx context.Context) (locks []keptLock, counter string, now int64, err error) {
	p := s.Pipeline()
	type of struct {
		kind *goredis.StatusCmd
		life *goredis.DurationCmd
		text *goredis.StringCmd
		hash *goredis.MapStringStringCmd
	}
	all := make([]of, len(s.keys))
	for i, k := range s.keys {
		all[i] = of{p.Type(ctx, k), p.PTTL(ctx, k), p.Get(ctx, k), p.HGetAll(ctx, k)}
	}
	count, t := p.Get(ctx, s.counter), p.Time(ctx)
	_, _ = p.Exec(ctx) // each command has its own error
	if t.Err() != nil {
		return nil, "", 0, t.Err()
	}
	for _, o := range all {
		l := keptLock{kind: o.kind.Val(), life: o.life.Val().Milliseconds(), fields: o.hash.Val()}
		if l.kind == "string" {
			l.fields = map[string]string{"l": o.text.Val()}
		}
		locks = append(locks, l)
	}
	return locks, count.Val(), t.Val().UnixMilli(), nil
}

var (
	stepAttempts   = []string{"a", "ab", "a-1", "b"} // some begin with others
	stepIdentities = []string{"", "host 1 pid 2", " \n100% "}
	stepTTLs       = []int64{100_001, 200_001, 400_001}
)

// drawStep is a random call. Attempts and keys are few, so that they meet.
func drawStep(r *rand.Rand, ns string, m *luaModel) *luaStep {
	s := &luaStep{
		identity: stepIdentities[r.IntN(len(stepIdentities))], client: fmt.Sprint(ns, ":c:", r.IntN(2)),
		mode: []string{"try", "wait", "wait"}[r.IntN(3)], late: r.IntN(5) == 0,
	}
	ttl := func() int64 { return stepTTLs[r.IntN(len(stepTTLs))] }
	n := 1
	switch p := r.IntN(100); {
	case p < 50:
		s.script = "acquire"
	case p < 75:
		s.script = "release"
	case p < 86:
		s.script = "renew"
	case p < 93:
		s.script = "evict"
	default:
		s.script = "inspect"
	}
	if s.script != "evict" && s.script != "inspect" && r.IntN(2) == 0 {
		n = 1 + r.IntN(6)
	}
	for range n {
		k := r.IntN(len(m.keys))
		if s.script == "renew" && slices.Contains(s.keys, k) {
			continue // a client renews a grant once
		}
		attempt := stepAttempts[r.IntN(len(stepAttempts))]
		if l := m.keys[k].lock; l != nil && s.script != "acquire" && r.IntN(3) > 0 {
			attempt = l.attempt
		}
		s.keys, s.attempts, s.ttls = append(s.keys, k), append(s.attempts, attempt), append(s.ttls, ttl())
	}
	if s.script == "evict" && r.IntN(2) == 0 {
		s.attempts[0] = ""
	}
	if s.script == "release" {
		s.ttls[0] = stepTTLs[0] // tombstones have one ttl, so that they end in their order
	}
	if s.script == "release" && !s.late {
		// A client releases an attempt once, unless a request of it may be under way.
		seen := map[string]bool{}
		for i := range s.keys {
			name := fmt.Sprint(s.keys[i], s.attempts[i])
			s.late = s.late || seen[name]
			seen[name] = true
		}
	}
	return s
}

// spoilStep changes something behind the scripts' back, in the server and in the model.
func (x *luaRun) spoilStep(ctx context.Context) error {
	k, p := x.model.keys[x.r.IntN(len(x.model.keys))], x.r.IntN(100)
	name := x.s.keys[k.id]
	past := strconv.FormatInt(x.now-1, 10)
	switch {
	case p < 30: // a lease ends
		switch {
		case k.lock == nil || k.foreign != "":
			return nil
		case k.hash:
			k.lock.over = true
			return x.editLock(ctx, name, func(f []string) { f[0] = past })
		}
		*k, x.keyFloor[k.id] = modelKey{id: k.id}, 0
		return x.s.Del(ctx, name).Err()
	case p < 45: // a waiter dies
		if len(k.queue) == 0 {
			return nil
		}
		w := k.queue[x.r.IntN(len(k.queue))]
		w.dead = true
		place := x.s.HGet(ctx, name, "w"+w.attempt).Val()
		f := strings.SplitN(x.s.HGet(ctx, name, place).Val(), " ", 5)
		f[1] = past
		return x.s.HSet(ctx, name, place, strings.Join(f, " ")).Err()
	case p < 60: // a tombstone ends
		if len(k.graves) == 0 {
			return nil
		}
		g, all := k.graves[0], x.r.IntN(2) == 0
		for _, other := range k.graves { // one of the same attempt may have ended before
			other.over = other.over || other.attempt == g.attempt || all
		}
		f := strings.Fields(x.s.HGet(ctx, name, "x").Val())
		for i := 0; i < len(f); i += 2 {
			if f[i] == g.attempt || all {
				f[i+1] = past
			}
		}
		return x.s.HSet(ctx, name, "x", strings.Join(f, " ")).Err()
	case p < 70: // tokens are ahead of the clock
		ahead := uint64(x.now)*1000 + 1e9 + x.r.Uint64N(1e9) //nolint:gosec // after 1970
		switch {
		case x.model.single && k.lock != nil && ahead > k.lock.token:
			k.lock.token, x.keyFloor[k.id] = ahead, ahead
			return x.editLock(ctx, name, func(f []string) { f[3] = strconv.FormatUint(ahead, 10) })
		case !x.model.single && ahead > x.floor && x.model.counterBad == "":
			x.floor = ahead
			return x.s.Set(ctx, x.s.counter, ahead, 0).Err()
		}
	case p < 76: // the counter is lost
		if x.model.single || x.model.counterBad != "" {
			return nil
		}
		if err := x.s.Del(ctx, x.s.counter).Err(); err != nil {
			return err
		}
		x.floor = 0
		clear(x.keyFloor)
		switch x.r.IntN(3) {
		case 0:
			x.model.counterBad = "FORMAT"
		case 1:
			x.model.counterBad = "FORMAT"
			return x.s.Set(ctx, x.s.counter, "a later build", 0).Err()
		case 2:
			x.model.counterBad = "WRONGTYPE"
			return x.s.HSet(ctx, x.s.counter, "a", "b").Err()
		}
	case p < 84: // a build before this layout has the lock
		if err := x.s.Del(ctx, name).Err(); err != nil {
			return err
		}
		*k, x.keyFloor[k.id] = modelKey{id: k.id}, 0
		k.lock = &modelLock{attempt: "a", client: x.s.ns + ":c:old", token: 17, ttl: 100_001, since: span{x.now, x.now + 1000}, old: true, identity: "an old build"}
		return x.s.Set(ctx, name, "- a "+k.lock.client+" 17 100001 an old build", 100_001*time.Millisecond).Err()
	case p < 92: // the clock is set back
		if k.lock == nil || k.lock.over || k.foreign != "" {
			return nil
		}
		k.lock.since = k.lock.since.plus(3_600_000)
		end := k.lock.since.from + k.lock.ttl
		if err := x.s.PExpireAt(ctx, name, time.UnixMilli(end)).Err(); err != nil || !k.hash {
			return err
		}
		return x.editLock(ctx, name, func(f []string) { f[0] = strconv.FormatInt(end, 10) })
	default: // somebody else has the key
		if k.exists() {
			return nil
		}
		k.foreign = "foreign"
		switch x.r.IntN(3) {
		case 0:
			return x.s.Set(ctx, name, "a b c", 0).Err()
		case 1:
			return x.s.RPush(ctx, name, "a").Err()
		default:
			return x.s.HSet(ctx, name, "a", "b").Err()
		}
	}
	return nil
}

// mend takes back what is spoilt and would stay so.
func (x *luaRun) mend(ctx context.Context) error {
	for _, k := range x.model.keys {
		if k.foreign != "" {
			k.foreign = ""
			if err := x.s.Del(ctx, x.s.keys[k.id]).Err(); err != nil {
				return err
			}
		}
	}
	if x.model.counterBad == "" {
		return nil
	}
	x.model.counterBad = ""
	if err := x.s.Del(ctx, x.s.counter).Err(); err != nil {
		return err
	}
	return x.s.format(ctx)
}

// editLock changes words of the record of a lock.
func (x *luaRun) editLock(ctx context.Context, name string, edit func(words []string)) error {
	text, err := x.s.Get(ctx, name).Result()
	if err == nil {
		f := strings.SplitN(text, " ", 6)
		edit(f)
		return x.s.Set(ctx, name, strings.Join(f, " "), goredis.KeepTTL).Err()
	}
	if text, err = x.s.HGet(ctx, name, "l").Result(); err != nil {
		return err
	}
	f := strings.SplitN(text, " ", 6)
	edit(f)
	return x.s.HSet(ctx, name, "l", strings.Join(f, " ")).Err()
}

// fill makes the server full, or not.
func (x *luaRun) fill(ctx context.Context, full bool) error {
	if full == x.model.full {
		return nil
	}
	x.model.full = full
	limit := "0"
	if full {
		limit = "1"
	}
	return x.s.ConfigSet(ctx, "maxmemory", limit).Err()
}

var errEmpty = errors.New("there is nothing")

// words are those of a record.
func recordWords(text string, n int) ([]string, error) {
	f := strings.SplitN(text, " ", n)
	if len(f) != n {
		return nil, fmt.Errorf("the record %q: %w", text, errEmpty)
	}
	return f, nil
}

// placesOf are the places of a hash, in order.
func placesOf(fields map[string]string) (places []int) {
	for name := range fields {
		if n, err := strconv.Atoi(name); err == nil {
			places = append(places, n)
		}
	}
	slices.Sort(places)
	return places
}
