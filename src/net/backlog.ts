/**
 * Connections that may wait to be accepted: as many as the system allows, since the kernel caps it at net.core.somaxconn
 * (listen(2); 4096 since Linux 5.4). Beyond it a client's SYN is dropped, and it asks again a second later. Whoever
 * listens on such a socket again says it, too: the last one to call listen(2) is believed, and Node's default is 511.
 */
export const backlog = 65_535;
