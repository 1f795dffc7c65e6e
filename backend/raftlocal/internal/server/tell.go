package server

import (
	"net"
	"strings"
	"time"
)

// maxTold is how many lines are remembered that were told within a tellAgain.
const maxTold = 256

// once reports whether a line is to be told: not if the same was within the last tellAgain. What strangers
// cause has to come through here, since they may come back at once, for ever.
func (s *Server) once(line ...string) bool {
	key, now := strings.Join(line, "\x00"), time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if at, ok := s.told[key]; ok && now.Sub(at) < tellAgain {
		return false
	}
	if len(s.told) >= maxTold {
		for k, at := range s.told {
			if now.Sub(at) >= tellAgain {
				delete(s.told, k)
			}
		}
		if len(s.told) >= maxTold {
			return false // they are many, and the first of them were told
		}
	}
	s.told[key] = now
	return true
}

// turnedAway tells that somebody was refused, and why.
func (s *Server) turnedAway(from net.Addr, why error) {
	host, _, err := net.SplitHostPort(from.String())
	if err != nil {
		host = from.String()
	}
	if s.once("refused", host, why.Error()) {
		s.logger.Warn("a connection is refused", "member", s.cfg.Member.Name, "from", from.String(), "error", why)
	}
}
