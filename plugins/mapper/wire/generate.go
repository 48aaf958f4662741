// Package wire is generated from mapper.proto: the contract as it crosses the process boundary.
// Only plugins/mapper imports it.
package wire

//go:generate protoc --go_out=. --go_opt=paths=source_relative --go-grpc_out=. --go-grpc_opt=paths=source_relative mapper.proto
