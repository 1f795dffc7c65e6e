package proxy

// Held is a Fault that stops a message, and with it all that follows it on its
// connection in that direction, the end of the connection included.
type Held struct{ *Fault }

// Release delivers the message, or disarms the fault if it has stopped none yet.
func (h Held) Release() {
	h.Cancel()
	h.release()
}

// ReleaseAlone is [Held.Release], but what follows a request waits until the server
// has answered that. Behind the late request of a client that has given up come its
// cancellation or the end of its connection, and a server that reads both at once
// may drop the request: a gRPC server does. Such a request is late by more than its
// client's patience, as one is that the server itself has kept waiting.
//
// A request that gets no answer keeps what follows it until the server closes the
// connection, or Heal.
func (h Held) ReleaseAlone() {
	h.Cancel()
	h.once.Do(func() {
		h.alone = true
		close(h.released)
	})
}

// CutClient resets the client's side of the connection that a message is held on,
// and leaves the server's: the client learns that its connection broke, connects
// again and goes on, while what is held is still under way. It does nothing before
// Fired.
func (h Held) CutClient() {
	h.proxy.mu.Lock()
	defer h.proxy.mu.Unlock()
	if h.conn != nil {
		cut(h.conn.client)
	}
}

// Delivered is closed when the message has been written to its destination.
func (h Held) Delivered() <-chan struct{} { return h.delivered }
