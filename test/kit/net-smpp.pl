#!/usr/bin/perl
# An SMSC of other make for tests: every byte is read and written by Net::SMPP (Debian: libnet-smpp-perl), which shares
# nothing with the package that Posthouse uses. Prints its port, then one line of JSON for each PDU; ends with its input.
# Login hospital/s3cret. A recipient that ends in 0NN is refused with status 0xNN. Each message that asks for it gets a
# receipt: by text alone, and to a recipient that ends in 7 by TLVs alone.
use strict;
use warnings;
use IO::Select;
use JSON::PP;
use Net::SMPP;
use Socket qw(IPPROTO_TCP TCP_NODELAY);

use constant { RINVPASWD => 0x0E, RECEIPT => 0x04, DELIVERED => 2 };

$| = 1;
# Clients may leave.
$SIG{__WARN__} = sub { print STDERR @_ unless $_[0] =~ /^premature eof/ };
my $server = Net::SMPP->new_listen('127.0.0.1', port => 0, smpp_version => 0x34, interface_version => 0x34)
    or die "cannot listen: $!";
print $server->sockport, "\n";

my $json = JSON::PP->new->canonical;
my $ready = IO::Select->new($server, \*STDIN);
my $count = 0;

my %replies = (
    bind_transceiver => \&bound,
    bind_transmitter => \&bound,
    bind_receiver    => \&bound,
    submit_sm        => \&taken,
    enquire_link     => sub { $_[0]->enquire_link_resp(seq => $_[1]{seq}) },
    unbind           => sub { $_[0]->unbind_resp(seq => $_[1]{seq}) },
);

while (1) {
    for my $one ($ready->can_read) {
        exit if $one == \*STDIN;
        if ($one == $server) { $ready->add($server->accept); next }
        my $pdu = $one->read_pdu;
        if (!defined $pdu) { $ready->remove($one); close $one; next }
        my $name = $pdu->explain_cmd;
        my %said = map { $_ => /^(short_message|message_payload|user_message_reference)$/ ? unpack('H*', $pdu->{$_}) : $pdu->{$_} }
            grep { $_ ne 'data' && !/^\d+$/ && defined $pdu->{$_} } keys %$pdu;
        print $json->encode({ %said, name => $name }), "\n";
        $replies{$name}->($one, $pdu) if $replies{$name};
    }
}

sub bound {
    my ($session, $pdu) = @_;
    my $answer = $pdu->explain_cmd . '_resp';
    my $is_right = $pdu->{system_id} eq 'hospital' && $pdu->{password} eq 's3cret';
    $session->$answer(
        seq => $pdu->{seq}, system_id => 'net-smpp', status => $is_right ? 0 : RINVPASWD, sc_interface_version => "\x34");
}

sub taken {
    my ($session, $pdu) = @_;
    my $status = $pdu->{destination_addr} =~ /0(\d\d)$/ ? hex $1 : 0;
    my $id = $status ? '' : sprintf 'net_smpp@%d', ++$count;
    $session->submit_sm_resp(seq => $pdu->{seq}, message_id => $id, status => $status);
    return if $status || !$pdu->{registered_delivery};
    my @said = $pdu->{destination_addr} =~ /7$/
        ? (receipted_message_id => "$id\0", message_state => chr DELIVERED)
        : (short_message => "id:$id sub:001 dlvrd:000 submit date:2511241530 done date:2511241531 stat:UNDELIV err:027 text:");
    $session->deliver_sm(
        async => 1, esm_class => RECEIPT, source_addr => $pdu->{destination_addr},
        destination_addr => $pdu->{source_addr}, @said);
}
