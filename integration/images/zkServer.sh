#!/bin/sh
# Apache's script of that name, as far as the tests use it, for Debian's packages.
# Their own is in a package that brings a desktop along, and leaves out what
# ZooKeeper needs for TLS and to print its log.
#
#   zkServer.sh start-foreground FILE
#   zkServer.sh version
j=/usr/share/java
path=$j/zookeeper.jar:$j/netty-codec.jar:$j/netty-resolver.jar:$j/netty-transport-native-unix-common.jar:$j/slf4j-simple.jar
case $1 in
version) main=org.apache.zookeeper.version.VersionInfoMain quiet=-Dorg.slf4j.simpleLogger.defaultLogLevel=off ;;
*) main=org.apache.zookeeper.server.quorum.QuorumPeerMain ;;
esac
# The flags are several words.
exec java $SERVER_JVMFLAGS $quiet -cp "$path" "$main" ${2:+"$2"}
