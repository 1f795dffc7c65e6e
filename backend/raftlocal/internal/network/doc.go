// Package network is how members, clients and operators reach each other: TCP, with mutual
// TLS or plain, sockets of a directory, and pipes within a process.
//
// # Addresses
//
//	host:port       TCP
//	unix:/path      a socket in the file system
//
// # Trust
//
// With TLS both sides show a certificate of the one authority, and both verify the other's. It
// is the only right that there is: whoever has a certificate may take locks, be a member,
// and operate the cluster. The version is 1.3, and a certificate serves both as a server's
// and as a client's, since members dial each other.
package network
