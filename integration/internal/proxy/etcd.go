package proxy

import (
	"google.golang.org/protobuf/encoding/protowire"
)

// etcdWatch is the method whose answers have no place in an order: many watches
// share a stream, and events come between.
const etcdWatch = "/etcdserverpb.Watch/Watch"

// Fields of etcd's WatchRequest and WatchResponse.
const (
	watchCreate, watchCancel, watchProgress = 1, 2, 3 // of a request: which it is
	cancelID                                = 1       // in a request to cancel
	watchID, watchCreated, watchCanceled    = 2, 3, 4
	watchEvents                             = 11

	noWatch = ^uint64(0) // −1: the response is about no watch in particular
)

// etcdWatchAnswers returns the rule for which request a WatchResponse answers. One
// that answers none is a push: events, and the end of a watch that the client has
// not asked for. A request to cancel what does not exist gets no answer.
func etcdWatchAnswers(response []byte) func(request []byte) bool {
	_, id, _ := protoField(response, watchID)
	_, _, created := protoField(response, watchCreated)
	_, _, canceled := protoField(response, watchCanceled)
	_, _, events := protoField(response, watchEvents)
	return func(request []byte) bool {
		switch {
		case created: // refused ones are "created" and "canceled"
			_, _, ok := protoField(request, watchCreate)
			return ok
		case canceled:
			cancel, _, ok := protoField(request, watchCancel)
			_, asked, _ := protoField(cancel, cancelID)
			return ok && asked == id
		case id == noWatch && !events:
			_, _, ok := protoField(request, watchProgress)
			return ok
		}
		return false
	}
}

// protoField is the first field of a number in a protobuf message: its bytes or its
// value, and whether it is there. One that is zero is not.
func protoField(message []byte, number protowire.Number) (data []byte, value uint64, ok bool) {
	for len(message) > 0 {
		got, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return nil, 0, false
		}
		message = message[n:]
		size := protowire.ConsumeFieldValue(got, kind, message)
		if size < 0 {
			return nil, 0, false
		}
		switch {
		case got != number:
		case kind == protowire.BytesType:
			data, _ = protowire.ConsumeBytes(message)
			return data, 0, true
		case kind == protowire.VarintType:
			value, _ = protowire.ConsumeVarint(message)
			return nil, value, true
		}
		message = message[size:]
	}
	return nil, 0, false
}
