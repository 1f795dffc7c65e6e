package proxy

import (
	"bytes"
	"fmt"
	"strings"
)

// grpcMessage is a message as the functions that choose are shown it: the method, a
// zero byte, the payload.
func grpcMessage(method string, payload []byte) []byte {
	b := make([]byte, 0, len(method)+1+len(payload))
	b = append(b, method...)
	b = append(b, 0)
	return append(b, payload...)
}

// MethodOf is the method that a gRPC message belongs to, "/etcdserverpb.KV/Txn"
// for one. It is empty for what is not such a message.
func MethodOf(message []byte) string {
	method, _, ok := bytes.Cut(message, []byte{0})
	if !ok {
		return ""
	}
	return string(method)
}

// Payload is a gRPC message itself, in protobuf, as it is without compression.
func Payload(message []byte) []byte {
	_, payload, _ := bytes.Cut(message, []byte{0})
	return payload
}

// Method matches the gRPC messages of a method whose payload has each of these
// strings in it. Keys and values of etcd are in there as they are.
func Method(method string, parts ...string) func(message []byte) bool {
	if !strings.HasPrefix(method, "/") || strings.Count(method, "/") != 2 {
		// It would match nothing, and the fault never happen.
		panic(fmt.Sprintf("proxy: %q is no gRPC method; one looks like /package.Service/Method", method))
	}
	return func(message []byte) bool {
		if MethodOf(message) != method {
			return false
		}
		for _, part := range parts {
			if !bytes.Contains(Payload(message), []byte(part)) {
				return false
			}
		}
		return true
	}
}
