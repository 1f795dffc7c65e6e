module github.com/fencelock/fencelock/backend/zookeeper

go 1.25.0

require (
	github.com/fencelock/fencelock v0.1.0
	github.com/go-zookeeper/zk v1.0.4
)

replace github.com/fencelock/fencelock => ../..
