package fencelock

import (
	"errors"
	"fmt"
	"net/url"
	"strconv"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/fencing"
)

const (
	// maxToken is the largest token: it fits a signed 64-bit column.
	maxToken fencing.Token = 1<<63 - 1
	// maxTokenBase leaves the backend as many tokens as it takes away.
	maxTokenBase fencing.Token = 1 << 62
)

// mergeTokenBase moves token_base= from the URL, where no backend looks, into the options.
func mergeTokenBase(u *url.URL, o *Options) error {
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return errors.New("the URL's query cannot be parsed")
	}
	if !q.Has("token_base") {
		return nil
	}
	if len(q["token_base"]) > 1 {
		return errors.New("the URL's token_base is given more than once: leave one")
	}
	base, err := parseTokenBase(q.Get("token_base"))
	if err != nil {
		return err
	}
	if o.TokenBase != 0 && o.TokenBase != base {
		return fmt.Errorf("Options.TokenBase is %v, and the URL says token_base=%v: set one of them", o.TokenBase, base)
	}
	o.TokenBase = base
	q.Del("token_base")
	u.RawQuery = q.Encode()
	return nil
}

func parseTokenBase(s string) (fencing.Token, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("the URL's token_base is %q: write a decimal number from 0 to %v, such as 2000000000000000", s, maxTokenBase)
	}
	return fencing.Token(n), checkTokenBase("the URL's token_base", fencing.Token(n))
}

func checkTokenBase(field string, base fencing.Token) error {
	if base > maxTokenBase {
		return fmt.Errorf("%s is %v; the largest is %v, so that tokens fit a signed 64-bit number", field, base, maxTokenBase)
	}
	return nil
}

// outward is the token that the application sees for one of the backend's.
func (c *Client) outward(t fencing.Token) fencing.Token {
	if c.info.Tokenless {
		return 0
	}
	return c.base + t
}

// checkGranted refuses a grant whose token would not be one any more.
func (c *Client) checkGranted(g driver.Grant) error {
	if g.Token <= maxToken-c.base {
		return nil
	}
	return fmt.Errorf("%w: the backend's token %v and the token base %v add up to more than %v: set a lower Options.TokenBase or token_base=",
		ErrInvalid, g.Token, c.base, maxToken)
}
