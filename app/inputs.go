package main

import (
	"net/http"

	"mssentinel/app/config"
	"mssentinel/app/platform"
)

// networkOf says how HTTP leaves the machine.
func networkOf(c config.Config) platform.Network {
	return platform.Network{
		ProxyHost: c.Proxy.Host, ProxyPort: c.Proxy.Port, ProxyUser: c.Proxy.User, ProxyPassword: c.Proxy.Password.Reveal(),
		ProxyTC: c.Proxy.TC, ProxyExternal: c.Proxy.External, SkipVerifyTC: !c.Verify,
	}
}

func platformAPI(c config.Config) platform.API {
	return platform.API{BaseURL: c.TCAPIPath, HTTP: &http.Client{Transport: networkOf(c).ThreatConnect()}}
}

func platformInputs(c config.Config) platform.Inputs {
	p := c.Platform
	return platform.Inputs{
		BrokerHost: p.BrokerHost, BrokerPort: p.BrokerPort, BrokerToken: p.BrokerToken.Reveal(), BrokerTimeout: p.BrokerTimeout,
		ServerTopic: p.ServerTopic, ClientTopic: p.ClientTopic, HeartbeatTimeout: p.HeartbeatTimeout, AnyBrokerName: p.AnyBrokerName,
		CAFile: p.CAFile, CertFile: p.CertFile, KeyFile: p.KeyFile,
		StoreType: p.StoreType, StoreHost: p.StoreHost, StorePort: p.StorePort, StoreUser: p.StoreUser,
		StorePassword: p.StorePassword.Reveal(), StoreTLS: p.StoreTLS, StoreTLSPort: p.StoreTLSPort, StoreTLSDB: p.StoreTLSDB,
		API: platformAPI(c),
	}
}
