// Package simulation holds the product to its promises through histories that are drawn at random: what changes in ThreatConnect
// and on CONFIGURE, what operators command, what fails, and when the process dies. The real pipeline, ledger, store and clients run
// in simulated time between the stand-ins, on connections in memory and one SQLite file; the mappers answer over their real gRPC
// server. An oracle that shares no code with the product says what Sentinel has to hold.
//
// A history is data ([History] in history_test.go). It is drawn from a seed first and carried out then, so that one that fails can
// be shortened, printed and kept as a test. How to run it, to read what it prints and to add a check is told in
// app/docs/architecture.md#the-simulation. All of it is test code, and nothing imports it.
package simulation
