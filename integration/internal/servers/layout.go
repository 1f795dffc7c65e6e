package servers

// ports are those of one server: tls is used if a test asks for it, the last two
// by members of a cluster among themselves.
type ports struct{ plain, tls, peer, election int }

// layout tells a server where to listen, where its files are, and who else is in
// its cluster.
type layout struct {
	host string // to listen on
	ports
	public  ports  // at which the tests reach it, on the loopback interface
	dir     string // for its data and files
	socket  string // to listen on as well, if a test asks for it
	self    int    // which of the members it is
	members []peer // all of a cluster, or only itself
}

// peer is a member as the others see it.
type peer struct {
	name, host string
	ports
}

func (l layout) me() peer { return l.members[l.self] }
