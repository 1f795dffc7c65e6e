package command

// The longest a command may carry, in bytes. A key is a namespace of 64 at most, a slash, and a
// key of the driver's.
const (
	MostKey   = 64 + 1 + 1024
	MostOwner = 64
	MostMeta  = 1024
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
		return keyed(c.Key) && owned(c.Owner) && len(c.Meta) <= MostMeta && c.TTL > 0
	case Release:
		if len(c.Claims) > 0 {
			return len(c.Claims) == 1
		}
		return keyed(c.Key) && owned(c.Owner)
	case Renew:
		return len(c.Claims) <= MostClaims
	case Evict, Inspect:
		return keyed(c.Key)
	case EvictClaim:
		return keyed(c.Key) && owned(c.Owner)
	case ListHeld:
		return len(c.Key) <= MostKey && len(c.Claims) == 2 && c.Claims[1] > 0
	default:
		return false
	}
}

func keyed(key string) bool { return key != "" && len(key) <= MostKey }

func owned(owner string) bool { return owner != "" && len(owner) <= MostOwner }
