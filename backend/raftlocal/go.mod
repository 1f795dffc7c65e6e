module github.com/fencelock/fencelock/backend/raftlocal

go 1.26.0

replace github.com/fencelock/fencelock => ../..
