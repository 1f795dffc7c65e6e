package command

// The longest a command may carry, in bytes. A key is a namespace of 64 at most, a slash, and a
// key of the driver's.
const (
	MaxKey   = 64 + 1 + 1024
	MaxOwner = 64
	MaxMeta  = 1024
)

// Valid reports whether a command keeps all limits of its operation. One that does not is
// answered with Invalid, and does nothing else.
func (c *Command) Valid() bool {
	switch c.Op {
	case Open:
		return c.ID != SessionID{} && c.TTL >= 0
	case Close, Nop:
		return true
	case Acquire:
		return keyed(c.Key) && owned(c.Owner) && len(c.Meta) <= MaxMeta && c.TTL > 0
	case Release:
		if len(c.Claims) > 0 {
			return len(c.Claims) == 1
		}
		return keyed(c.Key) && owned(c.Owner)
	case Renew:
		return len(c.Claims) <= MaxClaims
	case Evict, Inspect:
		return keyed(c.Key)
	case EvictClaim:
		return keyed(c.Key) && owned(c.Owner)
	case ListHeld:
		return len(c.Key) <= MaxKey && len(c.Claims) == 2 && c.Claims[1] > 0
	default:
		return false
	}
}

func keyed(key string) bool { return key != "" && len(key) <= MaxKey }

func owned(owner string) bool { return owner != "" && len(owner) <= MaxOwner }
